"""Bottom-up mining: which titles are concrete, depictable cultural concepts, and of which category?"""
