"""Where advisories come from: OSV's API, or its export in a folder of the operator's."""
