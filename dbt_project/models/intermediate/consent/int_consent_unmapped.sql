-- Grants by flags that no approved row of the mapping speaks of: they consent to nothing. A row without a
-- purpose says that this is meant.
select
    events.source_system,
    events.source_flag,
    events.policy_version,
    count(*) as events
from {{ ref('stg_cdp__consent_events') }} as events
left join {{ ref(var('fed_audience__consent_mapping_package', 'fed_audience'), 'consent_mapping') }} as mapping
    on events.source_system = mapping.source_system
    and events.source_flag = mapping.source_flag
    and (mapping.policy_version = '*' or events.policy_version = mapping.policy_version)
    and mapping.approver is not null
    and mapping.approved_on is not null
where events.purpose is null
    and events.status = 'granted'
    and mapping.source_flag is null
group by events.source_system, events.source_flag, events.policy_version
