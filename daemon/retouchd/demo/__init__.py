"""`retouchd demo`: a few real photos through the real command, and a picture of what came out."""
