"""What may be asked and what is answered: one module of models a question."""
