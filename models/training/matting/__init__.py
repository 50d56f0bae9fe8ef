"""Training of cvunet-compact; see ../README.md."""
