{{ fed_audience.consent_as_of(ref('int_consent_ledger'), fed_audience.as_of(live=true)) }}
