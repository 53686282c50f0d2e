"""What assistants see: tools, schemas, resources, prompts and extensions."""
