"""The CJ service: from a request to ranks, by waves of comparisons (contract sections 7 to 9)."""
