"""Training of the networks that retouchd ships; see README.md."""
