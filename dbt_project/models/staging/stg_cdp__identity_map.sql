{{ fed_audience.staged('identity_map', {
    'source_system': 'text',
    'source_id': 'text',
    'customer_id': 'text',
    'valid_from': 'instant',
    'valid_to': 'instant',
}, occurred='valid_from') }}
