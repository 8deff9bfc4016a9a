{{ fed_audience.staged('email_engagement', {
    'message_id': 'text',
    'customer_id': 'text',
    'campaign': 'text',
    'sent_at': 'instant',
    'delivered_at': 'instant',
    'opened_at': 'instant',
    'clicked_at': 'instant',
    'bounced_at': 'instant',
    'unsubscribed_at': 'instant',
}, occurred='sent_at') }}
