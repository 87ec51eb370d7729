"""What runs unattended: the roles, the durable workflow, what is known of each study."""
