"""Sums over sites in which no site's own part can be seen.

    from fed_audience.privacy.identity import SiteIdentity
    from fed_audience.privacy.ledger import SiteLedger
    from fed_audience.privacy.masks import RING_64
    from fed_audience.privacy.opening import MaskedSum
    from fed_audience.privacy.roster import enrol
    from fed_audience.privacy.rounds import Round
    from fed_audience.privacy.run_keys import RunTerms
    from fed_audience.privacy.site import SecureSite

    identities = [SiteIdentity.generate(name) for name in ("fashion", "grocery", "travel")]
    roster = enrol(identities)
    names = tuple(sorted(roster.keys))
    sites = [SecureSite(identity, roster, SiteLedger()) for identity in identities]
    terms = RunTerms("run 1", manifest_sha256, roster.sha256, names, names)
    cards = {site.name: site.present(terms, roster) for site in sites}
    for site in sites:
        site.agree(cards)
    total = MaskedSum(size, RING_64)
    for site in sites:
        total.add(site.mask(Round("run 1", 0, 0), names, own_vector[site.name]))
    total.total()  # the exact sum; every vector added was uniform noise

Each site signs the run's terms and a fresh X25519 key; each pair of sites derives a secret, and
for each round a key from it that is bound to run, tree, level, attempt, cohort and ring. Streams
of AES-256 in counter mode under these keys cancel in the sum over the cohort.

Below ten sites a round takes every site. From ten, the root of a later tree may lose three or more
at once: vectors carry a mask of their own besides; the survivors sign one set, giving the round's
pair keys of those who left, and once all have signed they reveal the seeds of their own masks;
shares stand in for a survivor who vanishes in between.

The design is a variant of Bonawitz et al., "Practical Secure Aggregation" (2017), with keys agreed
once a run. It is meant for a coordinator that is curious; against one that lies it rests on the
signatures and on two thirds of honest sites, and no proof of it has been published.
"""
