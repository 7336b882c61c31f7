use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn authorizations_outlive_a_restart_and_are_replaced_only_as_they_stand() {
    let ledger = Ledger::of(&["hospital"]);
    let site = Site::at(&ledger, "hospital");
    let custody = site.open();
    let value = |text: &str| Some(text.as_bytes().to_vec());
    let exchange = async |name: &str, expected, next| {
        let done = custody.exchange_authorization(name, expected, next).await;
        done.unwrap()
    };
    assert!(exchange("code/1", None, value("plain-text-one")).await);
    assert!(!exchange("code/1", None, value("two")).await);
    assert!(!exchange("code/1", value("other"), None).await);
    assert!(exchange("grant/1", None, value("g")).await);
    // Of many at once, one finds it as it stood.
    let tries = (0..8).map(|n| exchange("code/1", value("plain-text-one"), Some(vec![n])));
    let won = futures::future::join_all(tries).await;
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
    let stands = custody.authorization("code/1").unwrap();
    drop(custody);
    let custody = site.open();
    assert_eq!(custody.authorization("code/1").unwrap(), stands);
    let codes = custody.authorizations("code/").unwrap();
    assert_eq!(codes.keys().collect::<Vec<_>>(), ["code/1"]);
    let done = custody
        .exchange_authorization("grant/1", value("g"), None)
        .await;
    assert!(done.unwrap());
    assert_eq!(custody.authorization("grant/1").unwrap(), None);
}
