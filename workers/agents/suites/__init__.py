"""Which test suites a repository has, and how each is run."""
