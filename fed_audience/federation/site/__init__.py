"""The program beside a brand's rows: what it reads, keeps, computes and answers."""
