//! What searches find in the fixture: `Type/id` of matches, with a `+` of what is included.

mod related;

use related::{CHAINS, INCLUDES, WIDE};

/// Feature, search, and what it finds, in the order of the answer if that is asked for.
type Row = (&'static str, &'static str, &'static str);

pub(super) const SECTIONS: [(&str, &[Row]); 13] = [
    ("number", NUMBER),
    ("date", DATE),
    ("string", STRING),
    ("token", TOKEN),
    ("reference", REFERENCE),
    ("quantity", QUANTITY),
    ("composite", COMPOSITE),
    ("uri", URI),
    ("special and common parameters", COMMON),
    ("chains", CHAINS),
    ("includes", INCLUDES),
    ("order, pages and totals", ORDER),
    ("whole system and compartments", WIDE),
];

const NUMBER: &[Row] = &[
    (
        "equal",
        "RiskAssessment?probability=0.8",
        "RiskAssessment/r1",
    ),
    (
        "implicit precision",
        "RiskAssessment?probability=0.80",
        "RiskAssessment/r1",
    ),
    (
        "`gt`",
        "RiskAssessment?probability=gt0.5",
        "RiskAssessment/r1",
    ),
    (
        "`lt`",
        "RiskAssessment?probability=lt0.5",
        "RiskAssessment/r2",
    ),
    (
        "`ge`, `le`",
        "RiskAssessment?probability=ge0.25&probability=le0.25",
        "RiskAssessment/r2",
    ),
    (
        "`ne`",
        "RiskAssessment?probability=ne0.8",
        "RiskAssessment/r2",
    ),
    (
        "`ap`",
        "RiskAssessment?probability=ap0.79",
        "RiskAssessment/r1",
    ),
    (
        "`sa`",
        "RiskAssessment?probability=sa0.5",
        "RiskAssessment/r1",
    ),
    (
        "`eb`",
        "RiskAssessment?probability=eb0.5",
        "RiskAssessment/r2",
    ),
    (
        "exponents",
        "RiskAssessment?probability=8e-1",
        "RiskAssessment/r1",
    ),
    ("`:missing`", "RiskAssessment?probability:missing=true", ""),
];

const DATE: &[Row] = &[
    ("a day", "Observation?date=2026-01-10", "Observation/b1"),
    ("a month", "Observation?date=2026-02", "Observation/b2"),
    (
        "a year",
        "Observation?date=2026",
        "Observation/b1 Observation/b2 Observation/b3",
    ),
    (
        "an instant",
        "Observation?date=2026-03-05T12:00:00Z",
        "Observation/b3",
    ),
    (
        "a time zone",
        "Observation?date=2026-03-05T13:00:00%2B01:00",
        "Observation/b3",
    ),
    ("`gt`", "Observation?date=gt2026-02-15", "Observation/b3"),
    (
        "`ge`",
        "Observation?date=ge2026-02-02",
        "Observation/b2 Observation/b3",
    ),
    ("`lt`", "Observation?date=lt2026-02", "Observation/b1"),
    (
        "`le`",
        "Observation?date=le2026-02-02",
        "Observation/b1 Observation/b2",
    ),
    (
        "`ne`",
        "Observation?date=ne2026-01-10",
        "Observation/b2 Observation/b3",
    ),
    ("`sa`", "Observation?date=sa2026-02-02", "Observation/b3"),
    ("`eb`", "Observation?date=eb2026-02-01", "Observation/b1"),
    ("a period", "Encounter?date=2026-01-10", "Encounter/e1"),
    ("partial dates", "Patient?birthdate=1985", "Patient/p2"),
    (
        "a range",
        "Observation?date=ge2026-01-01&date=lt2026-02-01",
        "Observation/b1",
    ),
    (
        "`:missing`",
        "Condition?abatement-date:missing=true",
        "Condition/c1",
    ),
];

const STRING: &[Row] = &[
    (
        "start, case and accents folded",
        "Patient?family=muller",
        "Patient/p1",
    ),
    (
        "`:exact`",
        "Patient?family:exact=M%C3%BCller-Smith",
        "Patient/p1",
    ),
    (
        "`:exact` minds case",
        "Patient?family:exact=m%C3%BCller-smith",
        "",
    ),
    ("`:contains`", "Patient?family:contains=smith", "Patient/p1"),
    ("several names", "Patient?given=maria", "Patient/p1"),
    ("any part of a name", "Patient?name=bob", "Patient/p2"),
    (
        "any part of an address",
        "Patient?address=spring",
        "Patient/p1",
    ),
    (
        "alternatives",
        "Patient?family=muller,jones",
        "Patient/p1 Patient/p2",
    ),
    (
        "`:missing=false`",
        "Organization?address-city:missing=false",
        "Organization/o1",
    ),
];

const TOKEN: &[Row] = &[
    (
        "system and code",
        "Observation?code=http://loinc.org|85354-9",
        "Observation/b3",
    ),
    ("code alone", "Observation?code=85354-9", "Observation/b3"),
    (
        "system alone",
        "Condition?code=http://snomed.info/sct|",
        "Condition/c1",
    ),
    ("code without a system", "Observation?code=|85354-9", ""),
    ("identifier", "Patient?identifier=urn:mrn|42", "Patient/p1"),
    (
        "`:of-type`",
        "Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|42",
        "Patient/p1",
    ),
    ("boolean", "Patient?active=true", "Patient/p1"),
    ("code", "Patient?gender=male", "Patient/p2"),
    ("contact point", "Patient?telecom=555-1234", "Patient/p1"),
    (
        "contact point by kind",
        "Patient?email=anna@example.org",
        "Patient/p1",
    ),
    ("`:not`", "Observation?status:not=final", "Observation/b2"),
    ("`:text`", "Observation?code:text=weight", "Observation/b1"),
    (
        "`:in`",
        "Observation?code:in=http://example.org/ValueSet/weights/body",
        "Observation/b1 Observation/b2",
    ),
    (
        "`:not-in`",
        "Observation?code:not-in=http://example.org/ValueSet/weights/body",
        "Observation/b3",
    ),
    (
        "`:in`, by a filter over a code system",
        "Patient?_tag:in=http://example.org/ValueSet/research",
        "Patient/p1",
    ),
    (
        "`:below`",
        "Patient?_tag:below=urn:tags|research",
        "Patient/p1",
    ),
    (
        "`:above`",
        "Patient?_tag:above=urn:tags|trial",
        "Patient/p1",
    ),
    (
        "`:below`, unknown system, refused",
        "Patient?_tag:below=urn:other|research",
        "400",
    ),
    ("`:missing`", "Patient?gender:missing=true", ""),
    (
        "escapes",
        "Patient?identifier=urn:mrn|4\\,2,urn:mrn|42",
        "Patient/p1",
    ),
];

const REFERENCE: &[Row] = &[
    (
        "type and id",
        "Observation?subject=Patient/p2",
        "Observation/b3",
    ),
    ("id alone", "Observation?patient=p2", "Observation/b3"),
    (
        "absolute URL of this server",
        "Observation?subject=http://127.0.0.1:8101/fhir/Patient/p2",
        "Observation/b3",
    ),
    (
        "`:[type]`",
        "Observation?subject:Patient=p2",
        "Observation/b3",
    ),
    (
        "`:identifier`",
        "Observation?subject:identifier=urn:mrn|1",
        "",
    ),
    (
        "`:missing`",
        "Observation?encounter:missing=false",
        "Observation/b1",
    ),
    (
        "`:not`, refused",
        "Observation?subject:not=Patient/p1",
        "400",
    ),
];

const QUANTITY: &[Row] = &[
    (
        "number alone",
        "Observation?value-quantity=72.5",
        "Observation/b1",
    ),
    (
        "number, system and code",
        "Observation?value-quantity=72.5|http://unitsofmeasure.org|kg",
        "Observation/b1",
    ),
    (
        "number and code",
        "Observation?value-quantity=72.5||kg",
        "Observation/b1",
    ),
    (
        "canonical units",
        "Observation?value-quantity=71|http://unitsofmeasure.org|kg",
        "Observation/b2",
    ),
    (
        "prefixes in other units",
        "Observation?value-quantity=lt72000|http://unitsofmeasure.org|g",
        "Observation/b2",
    ),
    (
        "components",
        "Observation?component-value-quantity=gt140|http://unitsofmeasure.org|mm[Hg]",
        "Observation/b3",
    ),
    (
        "`:missing`",
        "Observation?value-quantity:missing=true",
        "Observation/b3",
    ),
];

const COMPOSITE: &[Row] = &[
    (
        "token and quantity",
        "Observation?code-value-quantity=http://loinc.org|29463-7$gt72",
        "Observation/b1 Observation/b2",
    ),
    (
        "within one component",
        "Observation?component-code-value-quantity=http://loinc.org|8480-6$gt140",
        "Observation/b3",
    ),
    (
        "not across components",
        "Observation?component-code-value-quantity=http://loinc.org|8462-4$gt140",
        "",
    ),
];

const URI: &[Row] = &[
    (
        "equal",
        "ValueSet?url=http://example.org/ValueSet/weights/body",
        "ValueSet/v1",
    ),
    (
        "`:below`",
        "ValueSet?url:below=http://example.org/ValueSet/weights",
        "ValueSet/v1",
    ),
    (
        "`:above`",
        "ValueSet?url:above=http://example.org/ValueSet/weights/body/more",
        "ValueSet/v1",
    ),
];

const COMMON: &[Row] = &[
    ("`_id`", "Patient?_id=p1,nobody", "Patient/p1"),
    ("`_lastUpdated`", "Patient?_lastUpdated=gt2030", ""),
    ("`_tag`", "Patient?_tag=urn:tags|study", "Patient/p1"),
    (
        "`_profile`",
        "Patient?_profile=http://example.org/profile/one",
        "Patient/p1",
    ),
    (
        "`_security`",
        "Patient?_security=http://terminology.hl7.org/CodeSystem/v3-Confidentiality|V",
        "",
    ),
    (
        "`near`",
        "Location?near=42.256500|-83.694810|11.20|km",
        "Location/l1",
    ),
    (
        "`_filter`",
        "Patient?_filter=birthdate le 1975",
        "Patient/p1",
    ),
    ("`near`, in miles", "Location?near=42.3|-83.7|2|[mi_i]", ""),
    (
        "`_filter`: `and`, `or`, `not`, brackets",
        "Patient?_filter=(gender eq female or gender eq male) and not(family sw jon)",
        "Patient/p1",
    ),
    (
        "`_filter`: chains",
        "Observation?_filter=subject.family eq jones or code eq nothing",
        "Observation/b3",
    ),
    (
        "`_filter`: `ss`, `in`",
        "Patient?_filter=_tag ss urn:tags|research and _tag in http://example.org/ValueSet/research",
        "Patient/p1",
    ),
    (
        "`_filter`: items, refused",
        "Patient?_filter=name[given eq anna].family eq x",
        "400",
    ),
    ("`_content`", "Patient?_content=springfield", "Patient/p1"),
    (
        "`_content`: phrases, `OR`, `NOT`",
        "Patient?_content=(\"anna maria\" OR nobody) NOT jones",
        "Patient/p1",
    ),
    ("`_text`", "Patient?_text=nothing", ""),
    ("`_list`", "Patient?_list=some", "400"),
    ("`_query`", "Patient?_query=some", "400"),
];

const ORDER: &[Row] = &[
    (
        "`_sort`",
        "Observation?_sort=date",
        "=Observation/b1 Observation/b2 Observation/b3",
    ),
    (
        "`_sort`, descending",
        "Observation?_sort=-date",
        "=Observation/b3 Observation/b2 Observation/b1",
    ),
    (
        "`_sort` by several",
        "Observation?_sort=-code,date",
        "=Observation/b3 Observation/b1 Observation/b2",
    ),
    (
        "`_count`",
        "Observation?_sort=date&_count=1",
        "=Observation/b1",
    ),
    ("`_count=0`", "Observation?_count=0", ""),
    (
        "`_total=none`",
        "Observation?_id=b1&_total=none",
        "Observation/b1",
    ),
    ("`_summary=count`", "Observation?_summary=count", ""),
    (
        "`_summary=true`",
        "Patient?_id=p1&_summary=true",
        "Patient/p1",
    ),
    (
        "`_elements`",
        "Patient?_id=p1&_elements=gender",
        "Patient/p1",
    ),
    (
        "unknown parameters are ignored",
        "Patient?_id=p1&nonsense=1",
        "Patient/p1",
    ),
];
