{{ fed_audience.staged('events', {
    'event_id': 'text',
    'customer_id': 'text',
    'anonymous_id': 'text',
    'event_name': 'text',
    'occurred_at': 'instant',
    'received_at': 'instant',
    'properties': 'text',
}, occurred='occurred_at') }}
