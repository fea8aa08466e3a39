"""Cores whose recurrence acts on each unit by itself: the gradient of what they carry can be carried, too."""
