"""The faults, a file each, named by their symptoms."""
