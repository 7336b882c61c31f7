"""dicomweb-client against a node before Orthanc: what is on record goes through unchanged, and nothing else does."""

import io
import sys

import numpy
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

node, token, archive = sys.argv[1:4]
session = requests.Session()
session.headers["Authorization"] = f"Bearer {token}"


def image(study, series, number):
    """A CT image with pixels of its own."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    one = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    one.StudyInstanceUID, one.SeriesInstanceUID = study, series
    one.PatientID, one.PatientName, one.Modality = "4711", "Holm^Inge", "CT"
    one.AccessionNumber, one.StudyID = "A-77", "1"
    one.PatientBirthDate, one.PatientSex, one.ReferringPhysicianName = "", "", ""
    one.StudyDate, one.StudyTime = "20260502", "101112"
    one.SeriesNumber, one.InstanceNumber = 1, number
    one.Rows = one.Columns = 64
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated = one.BitsStored = 16
    one.HighBit, one.PixelRepresentation = 15, 0
    pixels = numpy.random.default_rng(number).integers(0, 4096, (64, 64), dtype=numpy.uint16)
    one.PixelData = pixels.tobytes()
    return one


def put(resource):
    place = f"{node}/fhir/{resource['resourceType']}/{resource['id']}"
    headers = {"Content-Type": "application/fhir+json"}
    session.put(place, json=resource, headers=headers).raise_for_status()


def refused(status, what):
    try:
        what()
    except requests.HTTPError as error:
        assert error.response.status_code == status, error.response.status_code
        return
    raise AssertionError(f"it is not refused with {status}")


def shown(images):
    return sorted((one.SOPInstanceUID, one.PixelData) for one in images)


study, series, unlisted, other = (generate_uid() for _ in range(4))
listed = [image(study, series, number) for number in (1, 2)]
hidden = image(study, unlisted, 3)
unknown = image(other, generate_uid(), 4)
for one in [*listed, hidden, unknown]:
    buffer = io.BytesIO()
    one.save_as(buffer, enforce_file_format=True)
    stored = requests.post(f"{archive}/instances", data=buffer.getvalue(), auth=("node", "secret"))
    stored.raise_for_status()

put({"resourceType": "Patient", "id": "p", "identifier": [{"system": "urn:mrn", "value": "4711"}]})
put({
    "resourceType": "ImagingStudy", "id": "i", "status": "available",
    "subject": {"reference": "Patient/p"}, "started": "2026-05-02T10:11:12Z",
    "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{study}"},
                   {"type": {"coding": [{"code": "ACSN"}]}, "value": "A-77"}],
    "series": [{"uid": series, "modality": {"code": "CT"}, "instance": [
        {"uid": one.SOPInstanceUID, "sopClass": {"code": f"urn:oid:{CTImageStorage}"}} for one in listed]}],
})

client = DICOMwebClient(url=f"{node}/dicom-web", session=session)
for filters in [{"PatientID": "4711"}, {"AccessionNumber": "A-77"}, {"StudyDate": "20260501-20260531"},
                {"ModalitiesInStudy": "CT"}, {"StudyInstanceUID": study}]:
    found = [Dataset.from_json(row) for row in client.search_for_studies(search_filters=filters)]
    assert [one.StudyInstanceUID for one in found] == [study], filters
rows = client.search_for_series(study)
assert [Dataset.from_json(row).SeriesInstanceUID for row in rows] == [series]
rows = client.search_for_instances(study, series)
assert len(rows) == 2
print("  ok  studies, series and instances are found by QIDO-RS")

whole = client.retrieve_study(study)
assert shown(whole) == shown([*listed, hidden]), "a study is what the archive has of it"
assert shown(client.retrieve_series(study, series)) == shown(listed)
one = client.retrieve_instance(study, series, listed[0].SOPInstanceUID)
assert one.PixelData == listed[0].PixelData
frames = client.retrieve_instance_frames(
    study, series, listed[0].SOPInstanceUID, frame_numbers=[1], media_types=("application/octet-stream",))
assert frames == [listed[0].PixelData]
metadata = client.retrieve_series_metadata(study, series)
assert {Dataset.from_json(row).SOPInstanceUID for row in metadata} == {one.SOPInstanceUID for one in listed}
picture = client.retrieve_instance_rendered(
    study, series, listed[0].SOPInstanceUID, media_types=("image/jpeg",))
assert picture[:2] == b"\xff\xd8"
print("  ok  what is on record is retrieved by WADO-RS, pixel for pixel")

refused(404, lambda: client.retrieve_study(other))
refused(404, lambda: client.retrieve_series(study, unlisted))
refused(404, lambda: client.retrieve_instance(study, series, hidden.SOPInstanceUID))
refused(401, lambda: DICOMwebClient(url=f"{node}/dicom-web").retrieve_study(study))
print("  ok  what is not on record is not, though the archive has it")
