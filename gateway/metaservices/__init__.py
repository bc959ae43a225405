"""Services that this gateway answers itself: who is there, what is offered, and how it is described."""
