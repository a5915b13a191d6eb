"""What shines: layers of objects, fixed, varying and moving."""
