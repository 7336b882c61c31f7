#!/usr/bin/env python3
"""Posts the resources of `careledger bench fhir` to a FHIR server: bundles.py BASE PATIENTS [TOKEN]

Each transaction has 5 patients with 19 resources each (no consents: not every server takes them as policies).
Prints the resources a second.
"""
import json
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor


def code(patient, number):
    return f"c{(patient * 31 + number * 7) % 500}"


def day(patient, number):
    at = (patient * 17 + number * 97) % 3360
    return f"{2016 + at // 336}-{at // 28 % 12 + 1:02}-{at % 28 + 1:02}"


def records(patient):
    me = f"bench-{patient}"
    reference = {"reference": f"Patient/{me}"}
    yield {
        "resourceType": "Patient", "id": me,
        "identifier": [{"system": "urn:bench:mrn", "value": str(patient)}],
        "name": [{"family": f"Family{patient % 997}", "given": ["Bench"]}],
        "gender": "female", "birthDate": day(patient, 3),
    }
    for number in range(2):
        at = day(patient, number)
        yield {
            "resourceType": "Encounter", "id": f"{me}-e{number}", "status": "finished",
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
            "subject": reference, "period": {"start": f"{at}T09:00:00Z", "end": f"{at}T10:00:00Z"},
        }
    for number in range(16):
        yield {
            "resourceType": "Observation", "id": f"{me}-o{number}", "status": "final",
            "category": [{"coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}],
            "code": {"coding": [{"system": "urn:bench:code", "code": code(patient, number)}]},
            "subject": reference, "encounter": {"reference": f"Encounter/{me}-e{number % 2}"},
            "effectiveDateTime": f"{day(patient, number)}T09:30:00Z",
            "valueQuantity": {"value": 50 + number, "unit": "/min",
                              "system": "http://unitsofmeasure.org", "code": "/min"},
        }


def bundle(first, end):
    entries = [
        {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}}
        for patient in range(first, end) for one in records(patient)
    ]
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode()


def post(base, body, token):
    headers = {"Content-Type": "application/fhir+json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(base, data=body, headers=headers, method="POST")
    with urllib.request.urlopen(request) as answer:
        answer.read()


def main():
    base, patients = sys.argv[1], int(sys.argv[2])
    token = sys.argv[3] if len(sys.argv) > 3 else ""
    spans = [(first, min(first + 5, patients)) for first in range(0, patients, 5)]
    bodies = [bundle(*span) for span in spans]
    start = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda body: post(base, body, token), bodies))
    print(f"{patients * 19 / (time.monotonic() - start):.0f}")


main()
