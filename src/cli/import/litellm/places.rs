//! Where LiteLLM's providers are: the prefix of `litellm_params.model` → an
//! address that speaks OpenAI's format, and the variable with its key.
//!
//! The prefixes, addresses and variables are those of LiteLLM's own
//! `get_llm_provider_logic.py` and provider pages (docs.litellm.ai/docs/
//! providers), for Anthropic, Gemini and Ollama those of the providers' own
//! OpenAI-compatible addresses, as in `conf/catalogue.yaml`.

/// How a deployment's `api_base` becomes a base URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// It is one.
    AsIs,
    /// It ends before `/v1`, or before what LiteLLM adds.
    WithV1,
    /// Only the usual address is known to speak OpenAI's format.
    UsualOnly,
}

/// One prefix.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) prefix: &'static str,
    /// What Standin's provider is called.
    pub(super) name: &'static str,
    pub(super) url: Url,
    /// The variable that LiteLLM takes the key from where the file has none.
    pub(super) key: Option<&'static str>,
    pub(super) base: Base,
    /// What is different there.
    pub(super) note: &'static str,
}

/// Where it is, if the deployment does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Url {
    Usual(&'static str),
    /// Where this variable says.
    Variable(&'static str),
    /// It has to say.
    Nowhere,
}

const ANTHROPIC: &str = "goes to Anthropic's OpenAI-compatible address; LiteLLM translated into Anthropic's own format, so what only that has (prompt caching marks, thinking blocks) is not there";
const GEMINI: &str = "goes to Gemini's OpenAI-compatible address; LiteLLM translated into Gemini's own format, so what only that has (safety settings, grounding) is not there";
const OLLAMA: &str = "goes to Ollama's OpenAI-compatible address (`/v1`); LiteLLM used Ollama's own format, whose `options` are not there";

const fn openai(prefix: &'static str, url: &'static str, key: &'static str) -> Known {
    Known {
        prefix,
        name: prefix,
        url: Url::Usual(url),
        key: Some(key),
        base: Base::AsIs,
        note: "",
    }
}

/// Servers that are run by oneself: no usual address, and a key only where the
/// file has one.
const fn own(prefix: &'static str, name: &'static str, url: Url) -> Known {
    Known {
        prefix,
        name,
        url,
        key: None,
        base: Base::AsIs,
        note: "",
    }
}

const fn called(known: Known, name: &'static str) -> Known {
    Known { name, ..known }
}

const fn noted(known: Known, base: Base, note: &'static str) -> Known {
    Known {
        base,
        note,
        ..known
    }
}

const OLLAMA_URL: Url = Url::Usual("http://127.0.0.1:11434/v1");

static KNOWN: &[Known] = &[
    openai("openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    called(
        openai(
            "text-completion-openai",
            "https://api.openai.com/v1",
            "OPENAI_API_KEY",
        ),
        "openai",
    ),
    noted(
        openai(
            "anthropic",
            "https://api.anthropic.com/v1",
            "ANTHROPIC_API_KEY",
        ),
        Base::WithV1,
        ANTHROPIC,
    ),
    noted(
        openai(
            "gemini",
            "https://generativelanguage.googleapis.com/v1beta/openai",
            "GEMINI_API_KEY",
        ),
        Base::UsualOnly,
        GEMINI,
    ),
    openai("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    openai(
        "openrouter",
        "https://openrouter.ai/api/v1",
        "OPENROUTER_API_KEY",
    ),
    openai("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    noted(
        openai(
            "deepseek",
            "https://api.deepseek.com/v1",
            "DEEPSEEK_API_KEY",
        ),
        Base::AsIs,
        "goes to `/v1`; LiteLLM's usual address is `/beta`",
    ),
    called(
        openai(
            "together_ai",
            "https://api.together.xyz/v1",
            "TOGETHERAI_API_KEY",
        ),
        "together",
    ),
    called(
        openai(
            "fireworks_ai",
            "https://api.fireworks.ai/inference/v1",
            "FIREWORKS_API_KEY",
        ),
        "fireworks",
    ),
    openai("xai", "https://api.x.ai/v1", "XAI_API_KEY"),
    openai("cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    openai(
        "perplexity",
        "https://api.perplexity.ai",
        "PERPLEXITYAI_API_KEY",
    ),
    openai(
        "deepinfra",
        "https://api.deepinfra.com/v1/openai",
        "DEEPINFRA_API_KEY",
    ),
    openai(
        "nvidia_nim",
        "https://integrate.api.nvidia.com/v1",
        "NVIDIA_NIM_API_KEY",
    ),
    openai(
        "sambanova",
        "https://api.sambanova.ai/v1",
        "SAMBANOVA_API_KEY",
    ),
    openai(
        "meta_llama",
        "https://api.llama.com/compat/v1",
        "LLAMA_API_KEY",
    ),
    openai(
        "volcengine",
        "https://ark.cn-beijing.volces.com/api/v3",
        "VOLCENGINE_API_KEY",
    ),
    openai(
        "friendliai",
        "https://api.friendli.ai/serverless/v1",
        "FRIENDLIAI_API_KEY",
    ),
    openai(
        "codestral",
        "https://codestral.mistral.ai/v1",
        "CODESTRAL_API_KEY",
    ),
    noted(own("ollama", "ollama", OLLAMA_URL), Base::WithV1, OLLAMA),
    noted(
        own("ollama_chat", "ollama", OLLAMA_URL),
        Base::WithV1,
        OLLAMA,
    ),
    own("hosted_vllm", "vllm", Url::Variable("HOSTED_VLLM_API_BASE")),
    own(
        "lm_studio",
        "lm-studio",
        Url::Variable("LM_STUDIO_API_BASE"),
    ),
    own(
        "llamafile",
        "llamafile",
        Url::Usual("http://127.0.0.1:8080/v1"),
    ),
    own(
        "litellm_proxy",
        "litellm",
        Url::Variable("LITELLM_PROXY_API_BASE"),
    ),
    own("custom_openai", "custom", Url::Nowhere),
    own("openai_like", "custom", Url::Nowhere),
    own("aiohttp_openai", "custom", Url::Nowhere),
];

/// Prefixes of whom it is known why there is no way to them.
static ELSEWHERE: &[(&str, &str)] = &[
    ("bedrock", AWS),
    ("bedrock_mantle", AWS),
    ("sagemaker", AWS),
    ("sagemaker_chat", AWS),
    ("vertex_ai", GOOGLE),
    ("vertex_ai_beta", GOOGLE),
    (
        "azure_ai",
        "its addresses differ from model to model: where yours is OpenAI-compatible, add a provider with that `base_url` by hand",
    ),
    (
        "auto_router",
        "a router that reads the prompt: Standin walks the list that the client or `fallbacks` gives",
    ),
];

const AWS: &str = "requests are signed with AWS credentials, which Standin does not do";
const GOOGLE: &str = "signs in with Google credentials, which Standin does not do; with an API key the same models are at `gemini/`";
const OTHERS: &str = "no OpenAI-compatible address of it is known here, and Standin translates into no other format: where it has one, add a provider with that `base_url` by hand";

/// The provider of a prefix; why there is none else.
pub(super) fn known(prefix: &str) -> Result<Known, &'static str> {
    if let Some(known) = KNOWN.iter().find(|known| known.prefix == prefix) {
        return Ok(*known);
    }
    let elsewhere = ELSEWHERE.iter().find(|(name, _)| *name == prefix);
    Err(elsewhere.map_or(OTHERS, |(_, why)| why))
}

/// The prefix that LiteLLM takes for granted where a model has none; it knows
/// them by lists of names.
pub(super) fn implied(model: &str) -> Option<&'static str> {
    let begins = |starts: &[&str]| starts.iter().any(|start| model.starts_with(start));
    if model == "*"
        || begins(&[
            "gpt-",
            "chatgpt-",
            "o1",
            "o3",
            "o4",
            "text-embedding-",
            "ft:gpt-",
            "davinci-",
            "babbage-",
        ])
    {
        Some("openai")
    } else if begins(&["claude-"]) {
        Some("anthropic")
    } else if begins(&["gemini-"]) {
        Some("vertex_ai")
    } else {
        None
    }
}
