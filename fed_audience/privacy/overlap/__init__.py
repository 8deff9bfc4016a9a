"""How many customers two brands have in common, counted without either showing a list.

    from fed_audience.privacy.overlap.exchange import answer, ask, learned, result
    from fed_audience.privacy.overlap.points import Workers

    with Workers() as workers:
        asked, question = ask(terms, own_identifiers, salt, workers)  # the asking brand
        answered, reply = answer(terms, question, its_identifiers, salt, workers)  # the other
        found = result(terms, asked, reply, workers)  # the asking brand
        told = learned(terms, answered, found.for_partner)  # the other

Private set intersection *cardinality* by Diffie-Hellman in the group ristretto255 (RFC 9496), as
in De Cristofaro, Gasti and Tsudik, "Fast and Private Computation of Cardinality of Set
Intersection and Union" (2012). An identifier becomes a point that nobody can tell from a random
one; each brand multiplies all points by a secret of its own; equal identifiers meet as equal
points under both secrets, in an order that says nothing.

The answering brand hides a number of decoy pairs among the points, drawn so that the asking brand
counts the overlap plus discrete Laplace noise; and gets in return a count with noise of the asking
brand's. So neither learns the exact number, not even in memory.

Both brands are assumed to follow the protocol ("semi-honest"). One that does not can leave the
decoys out of its count, and learn the exact number of its list's members that the other knows;
one that invents a list learns about what it invented, whatever the protocol. Thresholds, noise and
the number of queries a month bound what that is worth.
"""
