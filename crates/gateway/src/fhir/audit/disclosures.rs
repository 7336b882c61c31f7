//! `Patient/[id]/$disclosures`: the accounting of disclosures, as FHIR, CSV or a page to print; and
//! `$record-disclosure` and `$suspend-accounting`, by which the member's staff enter what left by other ways, and what
//! an agency has asked for.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use contracts::disclosure::{Accounting, Class, Line, Regime, account, is_free};
use contracts::duty::{Clock, Duty};
use interop::fhir::TimeSpan;
use interop::fhir::audit::Passing;
use node::custody::audit::disclosed::{DISCLOSED, Disclosures, SUSPENDED, moment};
use serde_json::{Value, json};

use super::{Seen, must_audit, page, seen};
use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::InstanceAddress;
use crate::fhir::caller::Caller;
use crate::http::{Payload, fhir_json, pairs_of};
use crate::problem::Problem;

/// A report, with the places of its lines on the ledger.
pub(super) struct Report {
    pub(super) patient: String,
    pub(super) member: String,
    pub(super) accounting: Accounting,
    pub(super) disclosures: Disclosures,
    pub(super) due: Option<u64>,
    pub(super) is_free: bool,
}

pub(crate) async fn disclosures(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let patient = address.patient()?;
    if let Seen::Of(own) = seen(&caller, Permission::Read)?
        && own != patient
    {
        return Err(Problem::forbidden("this takes the token of the patient"));
    }
    let pairs: Vec<(String, String)> = query.iter().flat_map(|one| pairs_of(one)).collect();
    let value = |name: &str| {
        let found = pairs.iter().find(|(one, _)| one == name);
        found.map(|(_, value)| value.as_str())
    };
    let regime = Regime::parse(value("regime").unwrap_or("hipaa"));
    let regime = regime.ok_or_else(|| {
        Problem::malformed("`regime` is hipaa, part2-2.24, part2-2.25 or gdpr-15")
    })?;
    let requested = value("requested").and_then(TimeSpan::parse);
    let found = fhir.custody.disclosures(&patient).await?;
    let own = caller.requester().audited("disclosures");
    let mut own = own.with("regime", regime.name());
    own.patient = Some(patient.clone());
    own.target = format!("Patient/{patient}/$disclosures");
    fhir.custody.audit(own).await?;
    let now = fhir.custody.now();
    let made: Vec<_> = found
        .made
        .iter()
        .map(|one| one.disclosure.clone())
        .collect();
    let earlier = found
        .reports
        .iter()
        .filter(|(name, _)| name == regime.name());
    let earlier: Vec<u64> = earlier.map(|(_, at)| *at).collect();
    let clock = requested.map(|span| Clock {
        duty: Duty::of_report(regime),
        received: u64::try_from(span.start_ms).unwrap_or(0),
        extended: None,
    });
    let report = Report {
        accounting: account(regime, &made, &found.suspensions, now),
        is_free: is_free(&earlier, now),
        due: clock.and_then(|clock| clock.due()),
        member: fhir.identity.member.to_string(),
        disclosures: found,
        patient,
    };
    let accepted = headers
        .get(header::ACCEPT)
        .and_then(|one| one.to_str().ok());
    let asked = value("_format").or(accepted).unwrap_or_default();
    Ok(if asked.contains("html") {
        typed("text/html; charset=utf-8", page::page(&report))
    } else if asked.contains("csv") {
        typed("text/csv; charset=utf-8", csv(&report))
    } else {
        fhir_json(StatusCode::OK, &fhir.list(&report)?)
    })
}

/// Puts a disclosure that was made by other ways into the log.
pub(crate) async fn record_disclosure(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    let patient = address.patient()?;
    must_audit(&caller)?;
    let given = Given::parse(&body)?;
    let class = given.required("class")?;
    Class::parse(class).ok_or_else(|| Problem::malformed("`class` is not known"))?;
    let entry = caller.requester().audited(DISCLOSED);
    let mut entry = entry
        .with("class", class)
        .with("description", given.required("description")?)
        .with("purpose", given.required("purpose")?);
    for name in ["address", "at"] {
        if let Some(value) = given.value(name) {
            entry = entry.with(name, value);
        }
    }
    entry.passing = Some(Passing::To(given.required("recipient")?.to_owned()));
    fhir.enter(entry, &patient).await
}

/// Puts an agency's request to suspend the accounting into the log.
pub(crate) async fn suspend(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    let patient = address.patient()?;
    must_audit(&caller)?;
    let given = Given::parse(&body)?;
    let entry = caller.requester().audited(SUSPENDED);
    let mut entry = entry.with("agency", given.required("agency")?);
    if let Some(until) = given.value("until") {
        TimeSpan::parse(until).ok_or_else(|| Problem::malformed("`until` is not a date"))?;
        entry = entry.with("until", until);
    }
    fhir.enter(entry, &patient).await
}

/// `Parameters` with strings and times.
struct Given(Value);

impl Given {
    fn parse(body: &[u8]) -> Result<Self, Problem> {
        let kind = interop::fhir::ResourceType::parse("Parameters");
        let kind = kind.ok_or_else(|| Problem::internal("R4 has no Parameters"))?;
        let resource = interop::fhir::Resource::parse_as(kind, body, &crate::fhir::limits())?;
        Ok(Self(resource.into_value()))
    }

    fn value(&self, name: &str) -> Option<&str> {
        let mut parameters = self.0.get("parameter")?.as_array()?.iter();
        let found = parameters.find(|one| one.get("name").is_some_and(|one| one == name))?;
        let kinds = [
            "valueString",
            "valueCode",
            "valueInstant",
            "valueDateTime",
            "valueDate",
        ];
        kinds.iter().find_map(|kind| found.get(kind)?.as_str())
    }

    fn required(&self, name: &'static str) -> Result<&str, Problem> {
        let missing = || Problem::malformed(format!("the parameter `{name}` is missing"));
        self.value(name).ok_or_else(missing)
    }
}

impl Fhir {
    async fn enter(
        &self,
        mut entry: interop::fhir::audit::AuditEntry,
        patient: &str,
    ) -> Result<Response, Problem> {
        self.custody.subject_view(patient)?;
        entry.patient = Some(patient.to_owned());
        entry.target = format!("Patient/{patient}");
        let number = self.custody.audit(entry).await?;
        let body = json!({ "resourceType": "Parameters", "parameter": [
            { "name": "event", "valueReference": { "reference": format!("AuditEvent/{number}") } }] });
        Ok(fhir_json(StatusCode::CREATED, &body))
    }

    /// The report as a Bundle: a List with a line for each entry, and the events that the lines stand for.
    fn list(&self, report: &Report) -> Result<Value, Problem> {
        let site = self.audit_site();
        let mut entries = vec![json!({ "resource": list(report) })];
        for line in &report.accounting.lines {
            for number in &line.numbers {
                let Some(entry) = self.custody.audit_entry(*number)? else {
                    continue;
                };
                let event = interop::fhir::audit::events(&site, *number, &entry);
                let url = format!("{}/AuditEvent/{number}", self.base);
                entries.extend(
                    event
                        .first()
                        .map(|one| json!({ "fullUrl": url, "resource": one })),
                );
            }
        }
        Ok(json!({ "resourceType": "Bundle", "type": "collection",
            "timestamp": moment(report.accounting.made_at), "entry": entries }))
    }
}

/// The range of the ledger that the report is made of: the first and the last statement, and how many items.
pub(super) fn range(report: &Report) -> (Option<(u64, u64)>, usize) {
    let made = report.disclosures.made.iter();
    let statements: Vec<u64> = made.filter_map(|one| one.anchor?.statement).collect();
    let ends = statements.iter().min().zip(statements.iter().max());
    (ends.map(|(first, last)| (*first, *last)), statements.len())
}

/// The position and tag of each disclosure of a line that has an item of its own.
pub(super) fn items<'a>(
    report: &'a Report,
    line: &'a Line,
) -> impl Iterator<Item = (u64, String)> + use<'a> {
    let made = report.disclosures.made.iter();
    let of_line = made.filter(|one| line.numbers.contains(&one.disclosure.number));
    of_line.filter_map(|one| {
        let place = one.anchor?;
        Some((place.position, place.tag.to_string()))
    })
}

fn list(report: &Report) -> Value {
    let accounting = &report.accounting;
    let (ends, count) = range(report);
    let mut notes = vec![format!(
        "{} counted, {} of the same time do not count in this report.",
        accounting.counted, accounting.left_out
    )];
    if let Some((first, last)) = ends {
        notes.push(format!(
            "Made of {count} items of the ledger in the statements {first} to {last} of its log."
        ));
    }
    notes.push(if report.is_free {
        "The first report in twelve months: it is free.".to_owned()
    } else {
        "Not the first report in twelve months.".to_owned()
    });
    notes.extend(report.due.map(|due| format!("Owed until {}.", moment(due))));
    let notes: Vec<Value> = notes
        .into_iter()
        .map(|text| json!({ "text": text }))
        .collect();
    let lines = accounting.lines.iter().map(|line| {
        let items: Vec<String> = items(report, line)
            .map(|(at, tag)| format!("{at} {tag}"))
            .collect();
        json!({
            "date": moment(line.first.at),
            "item": {
                "reference": format!("AuditEvent/{}", line.first.number),
                "display": described(line),
            },
            "extension": items.into_iter().map(|item| json!({
                "url": "urn:careledger:extension:ledger-item", "valueString": item,
            })).collect::<Vec<Value>>(),
        })
    });
    let mut lines: Vec<Value> = lines.collect();
    for line in &mut lines {
        // FHIR has no empty arrays.
        if line["extension"].as_array().is_some_and(Vec::is_empty)
            && let Some(line) = line.as_object_mut()
        {
            line.remove("extension");
        }
    }
    let mut list = json!({
        "resourceType": "List", "status": "current", "mode": "snapshot",
        "title": accounting.regime.title(),
        "subject": { "reference": format!("Patient/{}", report.patient) },
        "date": moment(accounting.made_at),
        "source": { "identifier": { "system": "urn:careledger:member", "value": report.member } },
        "note": notes,
    });
    if lines.is_empty() {
        list["emptyReason"] = json!({ "coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/list-empty-reason", "code": "nilknown" }] });
    } else {
        list["entry"] = lines.into();
    }
    list
}

/// A line in words.
pub(super) fn described(line: &Line) -> String {
    let first = &line.first;
    let address = first.address.iter().map(|address| format!(", {address}"));
    let address: String = address.collect();
    let repeated = if line.count > 1 {
        format!("; {} times, the last on {}", line.count, moment(line.last))
    } else {
        String::new()
    };
    format!(
        "{}{address}: {} for {}{repeated}",
        first.recipient, first.description, first.purpose
    )
}

fn csv(report: &Report) -> String {
    let mut text =
        "first,recipient,address,description,purpose,class,count,last,items\r\n".to_owned();
    for line in &report.accounting.lines {
        let items: Vec<String> = items(report, line)
            .map(|(at, tag)| format!("{at}:{tag}"))
            .collect();
        let first = &line.first;
        let fields = [
            moment(first.at),
            first.recipient.clone(),
            first.address.clone().unwrap_or_default(),
            first.description.clone(),
            first.purpose.clone(),
            first.class.code().to_owned(),
            line.count.to_string(),
            moment(line.last),
            items.join(" "),
        ];
        let fields = fields.map(|field| quoted(&field));
        text.push_str(&fields.join(","));
        text.push_str("\r\n");
    }
    text
}

/// A field (RFC 4180); what a spreadsheet would take for a formula is text.
fn quoted(field: &str) -> String {
    let is_formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let field = if is_formula {
        format!("'{field}")
    } else {
        field.to_owned()
    };
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field
    }
}

fn typed(kind: &'static str, body: String) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
