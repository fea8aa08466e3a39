"""The environments of POPGym, rewritten as array arithmetic on whole batches."""
