// Writes vectors.json with the codecs of the IAB: npm install @iabtcf/core@1.5.6 @iabgpp/cmpapi@3.2.0,
// then: NODE_PATH=node_modules node make_vectors.cjs > vectors.json. Two runs give the same bytes.
const {TCModel, TCString, GVL, Segment, PurposeRestriction} = require('@iabtcf/core');
const {GppModel} = require('@iabgpp/cmpapi');

let state = 7;
const random = (below) => { state = (state * 1103515245 + 12345) % 2147483648; return Math.floor(state / 65536) % below; };
const some = (from, share) => from.filter(() => random(100) < share);
const upTo = (n) => Array.from({length: n}, (_, i) => i + 1);

const VENDORS = [...upTo(60), 100, 101, 102, 103, 400, 755, 1000, 1200];
const purposes = Object.fromEntries(upTo(11).map((id) => [id, {id, name: '', description: '', illustrations: []}]));
const vendor = (id) => ({id, name: 'v' + id, purposes: upTo(11).filter((p) => p !== 4), legIntPurposes: [4], flexiblePurposes: upTo(11),
  specialPurposes: [], features: [], specialFeatures: [], policyUrl: '', usesCookies: true, cookieMaxAgeSeconds: 1,
  cookieRefresh: false, usesNonCookieAccess: false, dataRetention: {}, urls: []});

function gvl(policy, vendors) {
  return new GVL({gvlSpecificationVersion: 3, vendorListVersion: 120, tcfPolicyVersion: policy,
    lastUpdated: '2026-01-01T00:00:00Z', purposes, specialPurposes: {1: purposes[1]}, features: {1: purposes[1]},
    specialFeatures: {1: purposes[1], 2: purposes[2]}, stacks: {}, dataCategories: {},
    vendors: Object.fromEntries(vendors.map((id) => [id, vendor(id)]))});
}

function tcf({policy, segments, share, date, restrictions = [], known = VENDORS}) {
  const model = new TCModel(gvl(policy, known));
  Object.assign(model, {cmpId: 300 + random(50), cmpVersion: 4, consentLanguage: 'EN', publisherCountryCode: 'DE',
    isServiceSpecific: true, policyVersion: policy});
  model.purposeConsents.set(some(upTo(11), share));
  model.purposeLegitimateInterests.set(some(upTo(11), 30));
  model.specialFeatureOptins.set(some([1, 2], share));
  model.vendorConsents.set(some(known, share));
  model.vendorLegitimateInterests.set(some(known, 30));
  for (const [purpose, kind, ids] of restrictions)
    for (const id of ids) model.publisherRestrictions.add(id, new PurposeRestriction(purpose, kind));
  model.created = model.lastUpdated = new Date(date);
  const text = TCString.encode(model, {segments});
  const read = TCString.decode(text);
  const ids = (vector) => { const found = []; vector.forEach((has, id) => { if (has) found.push(id); }); return found; };
  return {text, policy_version: Number(read.policyVersion), created: read.created.toISOString(), cmp_id: Number(read.cmpId),
    language: read.consentLanguage, country: read.publisherCountryCode, vendor_list_version: Number(read.vendorListVersion),
    purpose_consents: ids(read.purposeConsents), purpose_interests: ids(read.purposeLegitimateInterests),
    special_features: ids(read.specialFeatureOptins), vendor_consents: ids(read.vendorConsents),
    vendor_interests: ids(read.vendorLegitimateInterests),
    disclosed_vendors: segments.includes(Segment.VENDORS_DISCLOSED) ? ids(read.vendorsDisclosed) : null,
    restrictions: read.publisherRestrictions.getRestrictions().map((one) =>
      [one.purposeId, one.restrictionType, read.publisherRestrictions.getVendors(one)])};
}

const {CORE, VENDORS_DISCLOSED, PUBLISHER_TC} = Segment;
const tcfs = [];
for (const policy of [2, 4, 5])
  for (const segments of [[CORE], [CORE, PUBLISHER_TC], [CORE, VENDORS_DISCLOSED], [CORE, VENDORS_DISCLOSED, PUBLISHER_TC]])
    for (const [share, date] of [[0, '2025-06-01T00:00:00Z'], [50, '2026-02-27T00:00:00Z'], [95, '2026-06-01T00:00:00Z'], [100, '2026-06-01T00:00:00Z']])
      tcfs.push(tcf({policy, segments, share, date}));
tcfs.push(tcf({policy: 5, segments: [CORE, VENDORS_DISCLOSED], share: 100, date: '2026-06-01T00:00:00Z',
  restrictions: [[3, 0, [12, 755]], [4, 1, [12]], [5, 2, [1, 2, 3]]]}));
tcfs.push(tcf({policy: 5, segments: [CORE, VENDORS_DISCLOSED], share: 100, date: '2026-06-01T00:00:00Z', known: [755]}));

const FIELDS = {SharingNotice: 'sharing_notice', SaleOptOutNotice: 'sale_opt_out_notice',
  SharingOptOutNotice: 'sharing_opt_out_notice', TargetedAdvertisingOptOutNotice: 'targeted_advertising_opt_out_notice',
  SaleOptOut: 'sale_opt_out', SharingOptOut: 'sharing_opt_out', TargetedAdvertisingOptOut: 'targeted_advertising_opt_out',
  SensitiveDataProcessing: 'sensitive_data', KnownChildSensitiveDataConsents: 'known_child',
  PersonalDataConsents: 'personal_data_consents', Version: 'version'};

function gpp(version, answers, {gpc, others = []} = {}) {
  const model = new GppModel();
  model.setFieldValue('usnat', 'Version', version);
  for (const [name, value] of Object.entries(answers)) model.setFieldValue('usnat', name, value);
  model.setFieldValue('usnat', 'GpcSegmentIncluded', gpc !== undefined);
  if (gpc !== undefined) model.setFieldValue('usnat', 'Gpc', gpc);
  for (const [section, field, value] of others) model.setFieldValue(section, field, value);
  const text = model.encode();
  const read = new GppModel(text);
  const usnat = Object.fromEntries(Object.entries(FIELDS).map(([theirs, ours]) => [ours, read.getFieldValue('usnat', theirs)]));
  return {text, sections: read.getSectionIds(), usnat: {...usnat, gpc: gpc === undefined ? null : gpc}};
}

const NOTICED = {SharingNotice: 1, SaleOptOutNotice: 1, SharingOptOutNotice: 1, TargetedAdvertisingOptOutNotice: 1};
const NO = {...NOTICED, SaleOptOut: 2, SharingOptOut: 2, TargetedAdvertisingOptOut: 2};
const zeros = (n) => Array(n).fill(0);
const gpps = [];
for (const version of [1, 2]) {
  const kinds = version === 1 ? 12 : 16, children = version === 1 ? 2 : 3;
  const whole = (answers) => ({SensitiveDataProcessing: zeros(kinds), KnownChildSensitiveDataConsents: zeros(children),
    MspaCoveredTransaction: 1, MspaOptOutOptionMode: 1, MspaServiceProviderMode: 2, ...answers});
  for (const gpc of [undefined, false, true]) gpps.push(gpp(version, whole(NO), {gpc}));
  gpps.push(gpp(version, whole({...NO, SaleOptOut: 1})), gpp(version, whole({...NO, TargetedAdvertisingOptOut: 0})));
  gpps.push(gpp(version, whole({...NO, SaleOptOutNotice: 2})), gpp(version, whole({...NO, PersonalDataConsents: 2})));
  gpps.push(gpp(version, whole({...NO, KnownChildSensitiveDataConsents: [...zeros(children - 1), 1]})));
  gpps.push(gpp(version, whole({...NO, SensitiveDataProcessing: zeros(kinds).map(() => random(3))})));
  gpps.push(gpp(version, whole(NO), {others: [['usca', 'SaleOptOut', 1]]}));
  gpps.push(gpp(version, whole(NO), {gpc: false, others: [['usva', 'SaleOptOut', 2], ['usco', 'SaleOptOut', 2], ['ustx', 'SaleOptOut', 2]]}));
  gpps.push(gpp(version, whole(NO), {others: [['uspv1', 'OptOutSale', 'Y']]}));
  for (let i = 0; i < 6; i++)
    gpps.push(gpp(version, whole(Object.fromEntries(Object.keys(NO).map((name) => [name, random(3)]))), {gpc: [undefined, false, true][random(3)]}));
}
gpps.push(gpp(2, {...NO}, {others: [['tcfeuv2', 'PurposeConsents', Array(24).fill(true)], ['tcfeuv2', 'PolicyVersion', 4],
  ['tcfeuv2', 'VendorConsents', [12, 755]], ['tcfeuv2', 'VendorsDisclosed', [12, 755]],
  ['tcfeuv2', 'Created', new Date('2026-01-15T00:00:00Z')],
  ['tcfeuv2', 'LastUpdated', new Date('2026-01-15T00:00:00Z')]]}));
const lines = (vectors) => vectors.map((one) => JSON.stringify(one)).join(',\n');
process.stdout.write(`{"tcf": [\n${lines(tcfs)}\n],\n"gpp": [\n${lines(gpps)}\n]}\n`);
