//! patch is not supported: <https://hl7.org/fhir/R4/http.html#patch>

use crate::problem::Problem;

pub(crate) async fn patch() -> Problem {
    Problem::not_supported("patch is not supported; read, change and update with If-Match")
}
