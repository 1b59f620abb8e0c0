"""What a change does to the packages that a repository depends on."""
