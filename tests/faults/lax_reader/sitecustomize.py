"""On PYTHONPATH this makes a mutant of the service: nobody looks whether a file is whole, and what
a decoder makes of half a file is good enough. The test of cut-off pictures has to find that out."""

from PIL import ImageFile

from retouchd.images.reading import CONTAINERS

ImageFile.LOAD_TRUNCATED_IMAGES = True
for container in CONTAINERS.values():
    container.check = lambda source: None
