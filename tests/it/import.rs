//! `standin import`: what comes of another gateway's file serves its clients.

use std::process::Stdio;

use standin::mock::{Mock, Reply};
use tokio::process::Command;

use crate::house::{Folder, House, soon};

async fn import(folder: &Folder, file: &str) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_standin"));
    command
        .args(["import", "litellm", file])
        .current_dir(folder.file("."))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    soon("the command's end", command.output()).await.unwrap()
}

#[tokio::test]
async fn an_imported_file_serves_its_names_and_falls_over() {
    let first = Mock::start(Reply::unavailable()).await.unwrap();
    let second = Mock::start(Reply::answer("Hello")).await.unwrap();
    let folder = Folder::new();
    folder.write(
        "models.yaml",
        &format!(
            "model_list:\n\
             - {{model_name: gpt-4o, litellm_params: {{model: openai/gpt-4o-2024, api_base: \"{}\", api_key: os.environ/FIRST_KEY}}}}\n\
             - {{model_name: spare, litellm_params: {{model: hosted_vllm/acme/7b, api_base: \"{}\", api_key: sk-in-clear}}}}\n",
            first.base_url(),
            second.base_url()
        ),
    );
    folder.write(
        "config.yaml",
        "include: [models.yaml]\n\
         router_settings: {fallbacks: [{gpt-4o: [spare]}], model_group_alias: {gpt-4: gpt-4o}, routing_strategy: least-busy}\n\
         general_settings: {master_key: sk-1234-the-master-key-of-litellm}\n",
    );
    let done = import(&folder, "config.yaml").await;
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(0), "{said}");
    assert!(
        said.contains(
            "config.yaml: not carried over: router_settings.routing_strategy: `least-busy`"
        ),
        "{said}"
    );
    let yaml = String::from_utf8(done.stdout).unwrap();
    assert!(
        !yaml.contains("sk-") && !said.contains("sk-"),
        "{said}{yaml}"
    );

    let yaml = yaml.replace("127.0.0.1:4000", "127.0.0.1:0");
    let house = House::start_with(&yaml, |command| {
        command
            .env("FIRST_KEY", "sk-first")
            .env("IMPORTED_VLLM_API_KEY", "sk-second");
    })
    .await;
    for name in ["gpt-4o", "gpt-4"] {
        let body = format!(r#"{{"model":"{name}","messages":[]}}"#);
        let stranger = house.talk().await.post("/v1/chat/completions", &body).await;
        assert_eq!(stranger.status, 401);
        let key = "authorization: Bearer sk-1234-the-master-key-of-litellm";
        let answer = house
            .talk()
            .await
            .post_with("/v1/chat/completions", &[key], &body)
            .await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.walk(), format!("{name}=503, spare=200"));
        assert_eq!(answer.json()["model"], "spare");
    }
    let asked = first.last().unwrap();
    assert_eq!(asked.header("authorization"), Some("Bearer sk-first"));
    assert!(
        std::str::from_utf8(&asked.body)
            .unwrap()
            .contains("gpt-4o-2024")
    );
    let asked = second.last().unwrap();
    assert_eq!(asked.header("authorization"), Some("Bearer sk-second"));
    assert!(
        std::str::from_utf8(&asked.body)
            .unwrap()
            .contains("acme/7b")
    );
}

#[tokio::test]
async fn what_cannot_be_imported_is_bad_configuration() {
    let folder = Folder::new();
    folder.write("ours.yaml", "providers: {}\n");
    folder.write(
        "elsewhere.yaml",
        "model_list: [{model_name: a, litellm_params: {model: bedrock/x}}]\n",
    );
    for (file, why) in [
        ("missing.yaml", "missing.yaml: "),
        (".", ".: "),
        ("/dev/zero", "/dev/zero:1:1: the file is larger than 4 MiB"),
        ("ours.yaml", "no LiteLLM configuration"),
        (
            "elsewhere.yaml",
            "nothing of `model_list` could be carried over",
        ),
    ] {
        let done = import(&folder, file).await;
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(2), "{file}: {said}");
        assert!(
            done.stdout.is_empty() && said.contains(why),
            "{file}: {said}"
        );
    }
}
