"""fhirpy, unmodified, against a node: python fhirpy-client.py BASE TOKEN"""

import sys
import time

from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import OperationOutcome, ResourceNotFound

base, token = sys.argv[1:3]
client = SyncFHIRClient(base, authorization=f"Bearer {token}")
family = f"Py{time.time_ns()}"

patient = client.resource("Patient", name=[{"family": family, "given": ["Grace"]}], birthDate="1960-02-03")
patient.save()
assert patient.id and patient["meta"]["versionId"] == "1"
patient["active"] = True
patient.save()
assert patient["meta"]["versionId"] == "2"
patient["gender"] = "female"
patient.save()

for day in range(1, 8):
    client.resource(
        "Encounter",
        status="finished",
        subject=patient.to_reference(),
        period={"start": f"2026-02-{day:02}"},
        **{"class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}},
    ).save()

encounters = client.resources("Encounter").search(patient=patient.id).sort("-date").limit(3)
assert encounters.count() == 7
days = [one["period"]["start"][-2:] for one in encounters.fetch_all()]
assert days == ["07", "06", "05", "04", "03", "02", "01"], days
early = client.resources("Encounter").search(patient=patient.id, date__lt="2026-02-04")
assert early.count() == 3
with_patient = client.resources("Encounter").search(patient=patient.id).include("Encounter", "subject").limit(1)
kinds = {entry["resource"]["resourceType"] for entry in with_patient.fetch_raw()["entry"]}
assert kinds == {"Encounter", "Patient"}, kinds
found = client.resources("Patient").search(family=family).first()
assert found.id == patient.id
changed, created = client.resources("Patient").search(family=family).update(
    client.resource("Patient", name=[{"family": family}], active=False)
)
assert not created and changed.id == patient.id and changed["active"] is False

gone = client.resources("Encounter").search(patient=patient.id).first()
gone.delete()
try:
    client.reference("Encounter", gone.id).to_resource()
    raise SystemExit("a deleted encounter was read")
except (ResourceNotFound, OperationOutcome):
    pass
print("fhirpy: write, sort, paging, conditions, delete")
