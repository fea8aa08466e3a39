"""The systems of the book chapter, and its claims."""
