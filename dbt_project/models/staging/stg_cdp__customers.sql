{{ fed_audience.staged('customers', {
    'customer_id': 'text',
    'created_at': 'instant',
    'country': 'text',
    'region': 'text',
    'birth_year': 'whole',
    'email': 'text',
    'phone': 'text',
    'suppressed_at': 'instant',
}, occurred='created_at', key='customer_id') }}
