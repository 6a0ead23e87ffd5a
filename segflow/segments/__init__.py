"""What a customer is: facts, and one pure model a file that turns them into a label."""
