"""The processes of a run: the parent, which keeps the record and answers what is due, and the workers, which train."""
