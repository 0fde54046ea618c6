"""Where the pictures come from: datasets, augmentation, and the loader that prepares batches."""
