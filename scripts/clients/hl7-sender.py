"""hl7's MLLP client and parser and hl7apy's messages and validation, unmodified, against a node's listener:
python hl7-sender.py HOST PORT BASE TOKEN"""

import json
import sys
import time
import urllib.parse
import urllib.request

import hl7
from hl7.client import MLLPClient
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.core import Message
from hl7apy.parser import parse_message

host, port, base, token = sys.argv[1:5]
run = f"{time.time_ns()}"


def fhir(path):
    request = urllib.request.Request(f"{base}/{path}", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def sent_at(message, version, control_id):
    message.msh.msh_3 = "PYPI"
    message.msh.msh_4 = "OUTSIDE"
    message.msh.msh_5 = "CARE"
    message.msh.msh_6 = "CLINIC"
    message.msh.msh_7 = "20260601101500+0000"
    message.msh.msh_10 = control_id
    message.msh.msh_11 = "P"
    assert message.msh.msh_12.to_er7() == version


def person(pid, number, birth_date="19621211"):
    pid.pid_1 = "1"
    pid.pid_3.pid_3_1 = number
    pid.pid_3.pid_3_4.hd_1 = "OUTSIDE"
    pid.pid_3.pid_3_5 = "MR"
    pid.pid_5 = "Hopper^Grace"
    pid.pid_7 = birth_date
    pid.pid_8 = "F"


def registration(version, control_id, number, birth_date="19621211"):
    message = Message("ADT_A01", version=version, validation_level=VALIDATION_LEVEL.TOLERANT)
    message.msh.msh_9 = "ADT^A04" if version == "2.3" else "ADT^A04^ADT_A01"
    sent_at(message, version, control_id)
    if version < "2.7":
        message.evn.evn_1 = "A04"
    message.evn.evn_2 = "20260601101500+0000"
    person(message.pid, number, birth_date)
    message.pv1.pv1_1 = "1"
    message.pv1.pv1_2 = "O"
    return message


def result(control_id, number):
    message = Message("ORU_R01", version="2.5.1", validation_level=VALIDATION_LEVEL.STRICT)
    message.msh.msh_9 = "ORU^R01^ORU_R01"
    sent_at(message, "2.5.1", control_id)
    patient = message.add_group("ORU_R01_PATIENT_RESULT")
    person(patient.add_group("ORU_R01_PATIENT").add_segment("PID"), number)
    order = patient.add_group("ORU_R01_ORDER_OBSERVATION")
    obr = order.add_segment("OBR")
    obr.obr_1 = "1"
    obr.obr_3 = f"F{number}^LAB"
    obr.obr_4 = "2345-7^Glucose^LN"
    obr.obr_7 = "20260601100000+0000"
    obr.obr_25 = "F"
    obx = order.add_group("ORU_R01_OBSERVATION").add_segment("OBX")
    obx.obx_1 = "1"
    obx.obx_2 = "NM"
    obx.obx_3 = "2345-7^Glucose^LN"
    obx.obx_5 = "98"
    obx.obx_6 = "mg/dL^^UCUM"
    obx.obx_11 = "F"
    assert message.validate()
    return message


def ask(client, text, code, validates=True):
    """Sends a message; checks its acknowledgement with both libraries, and answers it."""
    answer = client.send_message(text).decode("ascii")
    assert answer.startswith("\x0b") and answer.endswith("\x1c\r"), answer
    answer = answer[1:-2]
    acknowledged = hl7.parse(answer)
    said = hl7.parse(text)
    assert str(acknowledged.segment("MSA")[1]) == code, answer
    assert str(acknowledged.segment("MSA")[2]) == str(said.segment("MSH")[10]), answer
    assert str(acknowledged.segment("MSH")[5]) == "PYPI", answer
    if validates:
        parsed = parse_message(answer, validation_level=VALIDATION_LEVEL.STRICT, find_groups=False)
        assert parsed.validate()
    return acknowledged


with MLLPClient(host, int(port)) as client:
    # hl7apy knows no structure of an acknowledgement of 2.3.
    versions = ["2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8"]
    for at, version in enumerate(versions):
        number = f"{run}-{version}"
        text = registration(version, f"{run}{at}", number).to_er7()
        ask(client, text, "AA", validates=version != "2.3")
        wrong = registration(version, f"{run}{at}E", number, birth_date="19621341").to_er7()
        refused = ask(client, wrong, "AE", validates=version != "2.3")
        place = refused.segment("ERR")[1 if version in versions[:3] else 2]
        assert str(place).startswith("PID^1^7"), refused
        identifier = urllib.parse.quote(f"urn:careledger:v2:authority:OUTSIDE|{number}")
        found = fhir(f"Patient?identifier={identifier}")
        assert [one["resource"]["birthDate"] for one in found["entry"]] == ["1962-12-11"], version
    text = result(f"{run}R", f"{run}-2.5.1").to_er7()
    first = ask(client, text, "AA")
    assert str(ask(client, text, "AA")) == str(first), "the same message has another acknowledgement"
    unknown = text.replace("ORU^R01^ORU_R01", "ZZZ^Z01^ZZZ_Z01").replace(f"{run}R", f"{run}Z")
    ask(client, unknown, "AR", validates=False)
patient = found = fhir("Patient?identifier=" + urllib.parse.quote(f"urn:careledger:v2:authority:OUTSIDE|{run}-2.5.1"))
patient = patient["entry"][0]["resource"]["id"]
results = fhir(f"Observation?subject=Patient/{patient}")["entry"]
assert [one["resource"]["valueQuantity"]["value"] for one in results] == [98], results
print("hl7, hl7apy: registrations of 2.3 to 2.8, a result, duplicates, errors with their places; acknowledgements validate")
