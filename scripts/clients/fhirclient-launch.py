"""SMART's fhirclient for Python, unmodified, launches an app by itself:
python fhirclient-launch.py BASE CLIENT_ID REDIRECT_URI CLINICIAN:PASSWORD FAMILY_NAME SIGN_IN_SCRIPT"""

import subprocess
import sys

from fhirclient import client
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient

base, app, redirect, account, family, sign_in = sys.argv[1:]
settings = {
    "app_id": app,
    "api_base": base,
    "redirect_uri": redirect,
    "scope": "openid fhirUser offline_access patient/Patient.rs patient/Observation.rs",
}
smart = client.FHIRClient(settings=settings)
smart.wants_patient = True
assert not smart.ready
assert smart.prepare() is False or not smart.ready
url = smart.authorize_url
assert url and "code_challenge=" in url, url
back = subprocess.check_output(["node", sign_in, url, account, family], text=True).strip()
smart.handle_callback(back)
assert smart.ready and smart.patient_id

patient = smart.patient
assert isinstance(patient, Patient) and patient.id == smart.patient_id
assert patient.name[0].family == family
assert patient.birthDate.isostring == patient.as_json()["birthDate"]

search = Observation.where({"patient": patient.id, "_count": "5", "_sort": "date"})
found = [one for one in search.perform_resources_iter(smart.server)]
counted = Observation.where({"patient": patient.id, "_summary": "count"}).perform(smart.server)
assert counted.total > 5 and len(found) == counted.total, (counted.total, len(found))
assert len({one.id for one in found}) == counted.total
assert all(isinstance(one, Observation) for one in found)

again = client.FHIRClient(state=smart.state)
assert again.ready and again.patient.id == patient.id
assert again.reauthorize()
assert again.ready and Observation.read(found[0].id, again.server).id == found[0].id
print("fhirclient (SMART Python): launch, typed read and search, paging, kept state, refresh")
