"""What several tests share: builders of domain values, fakes of ports, small worlds."""
