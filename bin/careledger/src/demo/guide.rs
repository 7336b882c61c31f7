//! What to try with a running demo.

use std::path::Path;

use super::people::{CLINICIAN, MEMBER, PATIENT};
use crate::network::Layout;
use crate::said::say;
use crate::wallet::{View, WalletFolder};

pub(super) fn print(
    layout: &Layout,
    view: &View,
    wallets: &WalletFolder,
    dir: &Path,
) -> anyhow::Result<()> {
    say("\nFour members are running:")?;
    for member in &view.network.members {
        say(&format!(
            "  {:<11} {}/fhir   log: {}",
            member.member,
            member.base_url,
            layout.member(&member.member).log().display()
        ))?;
    }
    let Some(name) = wallets.names().into_iter().next() else {
        return say("\nPress Ctrl-C to stop.");
    };
    let wallet = wallets.wallet(&name)?;
    let (base_url, id) = (view.base_url(MEMBER)?, wallet.patient_at(MEMBER)?);
    let program = std::env::current_exe()?;
    let (program, dir) = (program.display(), dir.display());
    let open = format!(
        "{program} wallet --network {dir} --folder {dir}/wallets --passphrase-file {dir}/wallets/passphrase"
    );
    say(&format!(
        "\nTry, as a clinician at the clinic:\n  \
         TOKEN=$({program} token --credential {dir}/clinic/clients/ehr.json --role physician)\n  \
         curl -s -H \"Authorization: Bearer $TOKEN\" '{base_url}/fhir/Patient/{id}'\n  \
         curl -s -H \"Authorization: Bearer $TOKEN\" '{base_url}/fhir/Patient/{id}/$everything'\n\n\
         As the patient:\n  \
         {open} grant {name} --through clinic --to clinic --data laboratory,medications\n  \
         {open} history {name}\n  \
         {open} share {name} --through clinic --with anyone --records --qr\n  \
         {open} show {name}\n\n\
         With an app that signs its users in:\n  \
         {program} clients --credential {dir}/clinic/clients/administrator.json register --public --name 'My app' \\\n    \
         --redirect-uri http://127.0.0.1:3000/ --scope 'openid fhirUser launch/patient offline_access patient/*.rs'\n  \
         Its users sign in as `{CLINICIAN}` or `{PATIENT}`; their passwords are in {dir}/{MEMBER}/people; FHIR is at {base_url}/fhir\n\n\
         As an auditor:\n  \
         {program} receipt --credential {dir}/clinic/clients/ehr.json Patient/{id} --out patient.export\n  \
         {} export patient.export --genesis {dir}/genesis.cbor\n  \
         {program} status --network {dir}\n\n\
         Press Ctrl-C to stop; the next start continues from {dir}.",
        super::verifier()?.display()
    ))
}
