//! A configuration in a mounted ConfigMap: the kubelet leads a symbolic link
//! elsewhere, and nobody sends a signal.

use std::fs;
use std::os::unix::fs::symlink;

use standin::mock::{Mock, Reply};

use crate::house::{Folder, House, providers};
use crate::talk::Talk;

/// A mount as the kubelet makes and changes it (k8s.io/kubernetes
/// pkg/volume/util/atomic_writer.go): the names lead through `..data`, which
/// leads to a folder of the version, and is replaced in one step.
struct Mount {
    folder: Folder,
    version: u32,
}

impl Mount {
    fn new(files: &[(&str, &str)]) -> Self {
        let mut mount = Self {
            folder: Folder::new(),
            version: 0,
        };
        mount.swap(files);
        for (name, _) in files {
            symlink(format!("..data/{name}"), mount.folder.file(name)).unwrap();
        }
        mount
    }

    /// Another version; the one before it goes.
    fn swap(&mut self, files: &[(&str, &str)]) {
        self.version += 1;
        let version = format!("..2026_{}", self.version);
        let (link, data) = (self.folder.file("..data_tmp"), self.folder.file("..data"));
        fs::create_dir(self.folder.file(&version)).unwrap();
        for (name, text) in files {
            self.folder.write(&format!("{version}/{name}"), text);
        }
        symlink(&version, &link).unwrap();
        fs::rename(&link, &data).unwrap();
        let before = self.folder.file(&format!("..2026_{}", self.version - 1));
        if before.exists() {
            fs::remove_dir_all(before).unwrap();
        }
    }
}

fn yaml(mock: &Mock, model: &str) -> String {
    let listening =
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nlog: { format: text, level: debug }\n";
    let model = format!("models:\n  gpt: {{ provider: p, upstream_model: {model} }}\n");
    providers(&[("p", mock)], &format!("{listening}{model}"))
}

async fn start(mount: &Mount) -> House {
    let path = mount.folder.file("standin.yaml");
    House::start_at(Folder::new(), &path, |_| {}).await
}

/// How many reloads ended so.
async fn reloads(house: &House, result: &str) -> u64 {
    let metrics = Talk::to(house.admin).await.get("/metrics").await.text();
    let name = format!("standin_config_reloads_total{{result=\"{result}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |count| count.parse().unwrap())
}

#[tokio::test]
async fn another_version_is_taken_and_a_wrong_one_is_told_of_once() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let first = yaml(&mock, "m1");
    let mut mount = Mount::new(&[("standin.yaml", &first)]);
    let house = start(&mount).await;
    assert_eq!(house.answering("gpt").await, "m1");
    mount.swap(&[("standin.yaml", &yaml(&mock, "m2"))]);
    house.logged("configuration reloaded").await;
    assert_eq!(house.answering("gpt").await, "m2");
    mount.swap(&[("standin.yaml", &format!("{first}nonsense: 1\n"))]);
    house.logged("configuration not reloaded").await;
    assert_eq!(house.answering("gpt").await, "m2");
    mount.swap(&[("standin.yaml", &yaml(&mock, "m3"))]);
    house.logged_again("configuration reloaded", 2).await;
    assert_eq!(house.answering("gpt").await, "m3");
    assert_eq!(
        (
            reloads(&house, "accepted").await,
            reloads(&house, "rejected").await
        ),
        (2, 1)
    );
}

#[tokio::test]
async fn a_file_changed_in_its_place_waits_for_a_signal() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let mount = Mount::new(&[("standin.yaml", &yaml(&mock, "m1"))]);
    let house = start(&mount).await;
    mount
        .folder
        .write("..2026_1/standin.yaml", &yaml(&mock, "m2"));
    assert_eq!(house.answering("gpt").await, "m1");
    house.signal("HUP");
    house.logged("configuration reloaded").await;
    assert_eq!(house.answering("gpt").await, "m2");
    assert_eq!(reloads(&house, "accepted").await, 1);
}

#[tokio::test]
async fn a_credential_that_comes_later_is_waited_for() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let first = yaml(&mock, "m1");
    let mut mount = Mount::new(&[("standin.yaml", &first)]);
    let house = start(&mount).await;
    let key = mount.folder.file("key");
    let provider = format!(
        "providers:\n  q: {{ base_url: \"{}\", api_key_file: {} }}\n",
        mock.base_url(),
        key.display()
    );
    let second = yaml(&mock, "m2")
        .replace("providers:\n", &provider)
        .replace("provider: p", "provider: q");
    mount.swap(&[("standin.yaml", &second)]);
    house.logged("configuration not reloaded").await;
    assert_eq!(house.answering("gpt").await, "m1");
    mount.folder.write("key", "sk-test-later");
    house.logged("configuration reloaded").await;
    assert_eq!(house.answering("gpt").await, "m2");
    assert_eq!(reloads(&house, "rejected").await, 1);
}
