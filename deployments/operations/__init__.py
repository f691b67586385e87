"""What an operator does by hand or by a job: migrations, backups, dead jobs, webhooks, providers."""
