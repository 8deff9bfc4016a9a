{{ fed_audience.staged('order_items', {
    'order_id': 'text',
    'line': 'whole',
    'product_id': 'text',
    'category': 'text',
    'qty': 'whole',
    'price': 'number',
}, occurred=none) }}
