//! WADO-RS: after the decision on the ImagingStudy, and its access item, the archive's answer goes through piece by piece.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use interop::dicom::{Retrieval, Uid, instance_rows, lists, series_rows};
use node::custody::Opened;

use super::find::{answer, without_attributes};
use super::{Desk, imaging_study};
use crate::auth::Permission;
use crate::fhir::{Caller, disclosed_with};
use crate::problem::Problem;

/// What is asked for below a study.
enum Asked {
    /// Its series, or the instances of one.
    Listed(Uid, Option<Uid>),
    Retrieved(Retrieval),
}

/// `GET /dicom-web/studies/{study}/…`
pub(super) async fn behind_studies(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.may(imaging_study()?, Permission::Read)?;
    match Asked::parse(&path)? {
        Asked::Listed(study, series) => {
            without_attributes(query.as_deref())?;
            let studies = desk.readable(&caller, &study).await?;
            let resources = studies.iter().map(|one| &one.resource);
            let rows = match &series {
                None => resources
                    .flat_map(|one| series_rows(one, &desk.base))
                    .collect(),
                Some(series) => resources
                    .flat_map(|one| instance_rows(one, series, &desk.base))
                    .collect(),
            };
            Ok(answer(rows, false))
        }
        Asked::Retrieved(asked) => {
            let archive = desk.archive.as_ref().ok_or_else(|| {
                Problem::not_supported("this node does not stand before an image archive")
            })?;
            let studies = desk.readable(&caller, &asked.study).await?;
            if !studies.iter().any(|one| lists(&one.resource, &asked)) {
                return Err(Problem::not_found());
            }
            let mut response = archive.get(&asked, query.as_deref(), &headers).await?;
            for one in &studies {
                disclosed_with(&one.labels, one.scope.as_deref(), response.headers_mut());
            }
            Ok(response)
        }
    }
}

impl Asked {
    fn parse(path: &str) -> Result<Self, Problem> {
        let listed = || {
            let mut segments = path.split('/');
            let study = Uid::parse(segments.next()?)?;
            let rest: Vec<&str> = segments.collect();
            match rest.as_slice() {
                ["series"] => Some(Self::Listed(study, None)),
                ["series", series, "instances"] => {
                    Some(Self::Listed(study, Some(Uid::parse(series)?)))
                }
                _ => None,
            }
        };
        let asked = listed().or_else(|| Retrieval::parse(path).map(Self::Retrieved));
        asked.ok_or_else(|| {
            Problem::malformed("the path does not name a study, series and instance by their UIDs")
        })
    }
}

impl Desk {
    /// Every ImagingStudy of the study, each read by the caller.
    async fn readable(&self, caller: &Caller, study: &Uid) -> Result<Vec<Opened>, Problem> {
        let custody = &self.fhir.custody;
        let studies = custody
            .read_imaging_study(caller.requester(), study)
            .await?;
        for one in &studies {
            let touched = caller.may_touch(&one.resource);
            touched.map_err(|_| Problem::not_found())?;
        }
        Ok(studies)
    }
}
