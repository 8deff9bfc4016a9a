{{ fed_audience.staged('consent_states', {
    'source_system': 'text',
    'source_id': 'text',
    'purpose': 'text',
    'source_flag': 'text',
    'status': 'text',
    'legal_basis': 'text',
    'jurisdiction': 'text',
    'is_minor': 'flag',
    'policy_version': 'text',
    'stated_at': 'instant',
}, occurred=none) }}
