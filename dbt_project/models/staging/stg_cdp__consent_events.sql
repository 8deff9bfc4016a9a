{{ fed_audience.staged('consent_events', {
    'consent_event_id': 'text',
    'source_system': 'text',
    'source_id': 'text',
    'purpose': 'text',
    'source_flag': 'text',
    'status': 'text',
    'legal_basis': 'text',
    'jurisdiction': 'text',
    'effective_at': 'instant',
    'recorded_at': 'instant',
    'expires_at': 'instant',
    'time_trust': 'text',
    'is_minor': 'flag',
    'method': 'text',
    'policy_version': 'text',
    'evidence_ref': 'text',
    'raw_signal': 'text',
}, occurred='recorded_at') }}
union all
{{ fed_audience.state_events() }}
