{{ fed_audience.staged('web_sessions', {
    'session_id': 'text',
    'customer_id': 'text',
    'anonymous_id': 'text',
    'started_at': 'instant',
    'channel': 'text',
    'pages': 'whole',
    'engaged_s': 'whole',
    'device': 'text',
}, occurred='started_at') }}
