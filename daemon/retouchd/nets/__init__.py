"""Networks: ``nn.Module``s only. They know no files, no devices and no images."""
