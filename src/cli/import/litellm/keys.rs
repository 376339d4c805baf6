//! Keys of LiteLLM's configuration that are not carried over, and why. Those
//! with no reason have no meaning for Standin.
//!
//! From docs.litellm.ai/docs/proxy/config_settings and the pages it links.

use crate::cli::import::section::Table;

const ADMIN: &str = "keys, teams, users and budgets of LiteLLM's database are not carried over: make keys by `standin key new`, with `budget` and limits of their own";
const CACHE: &str = "Standin keeps no answers";
const GUARD: &str = "Standin looks at no prompt and no answer";
const PROCESS: &str =
    "live state and limits are each process's own; there is nothing to share them by";
const RETRY: &str = "nobody is asked the same again: the next target or fallback is tried at once, and clients' SDKs retry";
const ALERT: &str = "Standin calls nobody: Prometheus does, by the rules in deploy/prometheus";
const LEDGER: &str =
    "usage goes to a ledger of Standin's own: add `ledger: { path: standin-usage.db }`";
const NO_ENDPOINT: &str = "Standin has no such endpoint";
const LOGIN: &str = "clients come by keys of the configuration only";
const SECRETS: &str = "secrets come by `${NAME}` or `api_key_file`";
const PAGE: &str = "the admin port's page shows targets and walks, and manages nothing";

/// The whole file's.
pub(super) static TOP: &Table = &[
    ("assistant_settings", NO_ENDPOINT),
    ("callback_settings", "there are no callbacks"),
    ("files_settings", NO_ENDPOINT),
    ("finetune_settings", NO_ENDPOINT),
    ("guardrails", GUARD),
    ("mcp_aliases", NO_ENDPOINT),
    ("mcp_servers", NO_ENDPOINT),
    ("mcp_tools", NO_ENDPOINT),
    ("policies", GUARD),
    ("prompts", "Standin keeps no prompts"),
    ("search_tools", NO_ENDPOINT),
    ("vector_store_registry", NO_ENDPOINT),
    ("worker_registry", ""),
];

/// An entry's of `credential_list`.
pub(super) static CREDENTIAL: &Table = &[("credential_info", "")];

/// An entry's of `model_list`.
pub(super) static ENTRY: &Table = &[("model_id", "")];

/// `litellm_params`.
pub(super) static PARAMS: &Table = &[
    ("allowed_openai_params", ""),
    ("azure_ad_token", AZURE),
    ("client_id", AZURE),
    ("client_secret", AZURE),
    ("tenant_id", AZURE),
    ("azure_username", AZURE),
    ("azure_password", AZURE),
    ("azure_scope", AZURE),
    ("budget_duration", BUDGET),
    (
        "cache_control_injection_points",
        "Standin changes no message",
    ),
    (
        "configurable_clientside_auth_params",
        "clients' credentials and addresses never go to a provider",
    ),
    ("cooldown_time", "`health` holds for all targets"),
    ("drop_params", DROP),
    ("input_cost_per_second", SECOND),
    ("output_cost_per_second", SECOND),
    ("max_budget", BUDGET),
    ("max_file_size_mb", NO_ENDPOINT),
    (
        "max_parallel_requests",
        "requests in flight to a target are not bounded",
    ),
    ("max_retries", RETRY),
    (
        "merge_reasoning_content_in_choices",
        "answers stay as they are",
    ),
    (
        "mock_response",
        "not answered here: the deployment is asked in earnest",
    ),
    ("num_retries", RETRY),
    ("region_name", ""),
    ("tag_regex", TAGS),
    ("tags", TAGS),
    ("use_in_pass_through", NO_ENDPOINT),
    ("use_litellm_proxy", ""),
];

const AZURE: &str = "Standin does not sign in to Entra ID: it sends an `api_key`";
const BUDGET: &str = "budgets are clients' keys' (`keys`), not deployments'";
const DROP: &str = "what well-known providers refuse is left out by built-in rules; for others name it under the model's `request.drop`";
const SECOND: &str = "prices are for tokens";
const TAGS: &str = "targets are not chosen by tags";
const OVERRULE: &str = "LiteLLM takes it where a request brings none; `request.set` would overrule the client, so it is left to you";

/// Parameters of a request that may stand among `litellm_params`.
pub(super) static DEFAULTS: &Table = &[
    ("dimensions", OVERRULE),
    ("frequency_penalty", OVERRULE),
    ("logit_bias", OVERRULE),
    ("logprobs", OVERRULE),
    ("max_completion_tokens", OVERRULE),
    ("max_tokens", OVERRULE),
    ("metadata", OVERRULE),
    ("n", OVERRULE),
    ("parallel_tool_calls", OVERRULE),
    ("presence_penalty", OVERRULE),
    ("reasoning_effort", OVERRULE),
    ("response_format", OVERRULE),
    ("seed", OVERRULE),
    ("service_tier", OVERRULE),
    ("stop", OVERRULE),
    ("store", OVERRULE),
    ("stream", "the client says whether it wants a stream"),
    ("stream_options", OVERRULE),
    ("temperature", OVERRULE),
    ("thinking", OVERRULE),
    ("tool_choice", OVERRULE),
    ("tools", OVERRULE),
    ("top_k", OVERRULE),
    ("top_logprobs", OVERRULE),
    ("top_p", OVERRULE),
    ("user", OVERRULE),
    ("verbosity", OVERRULE),
];

/// `model_info`.
pub(super) static INFO: &Table = &[
    ("access_groups", "models are allowed by `keys[].models`"),
    ("allowed_fails", "`health` holds for all targets"),
    ("allowed_fails_policy", "`health` holds for all targets"),
    (
        "base_model",
        "prices go by the provider's own name for the model: where that is another (an Azure deployment's), write `price`",
    ),
    ("cooldown_time", "`health` holds for all targets"),
    ("created_at", ""),
    ("created_by", ""),
    ("db_model", ""),
    ("description", ""),
    ("disable_background_health_check", ""),
    ("health_check_model", NO_CHECK),
    ("health_check_timeout", NO_CHECK),
    ("input_cost_per_second", SECOND),
    ("litellm_provider", ""),
    ("max_input_tokens", ""),
    ("max_output_tokens", ""),
    ("max_tokens", ""),
    ("metadata", ""),
    ("output_cost_per_second", SECOND),
    ("output_vector_size", ""),
    (
        "supported_environments",
        "every entry is there in every environment",
    ),
    ("supports_assistant_prefill", ""),
    ("supports_audio_input", ""),
    ("supports_audio_output", ""),
    ("supports_function_calling", ""),
    ("supports_parallel_function_calling", ""),
    ("supports_pdf_input", ""),
    ("supports_prompt_caching", ""),
    ("supports_reasoning", ""),
    ("supports_response_schema", ""),
    ("supports_system_messages", ""),
    ("supports_tool_choice", ""),
    ("supports_vision", ""),
    ("supports_web_search", ""),
    ("team_id", ADMIN),
    ("team_public_model_name", ADMIN),
    ("tier", ""),
    ("updated_at", ""),
    ("updated_by", ""),
];

const NO_CHECK: &str = "providers are not asked for their health: requests and single probes tell";

/// What may stand in `router_settings` and in `litellm_settings`.
pub(super) static SHARED: &Table = &[
    (
        "allowed_fails_policy",
        "what counts as a failure, and for whom, is fixed",
    ),
    ("cache_responses", CACHE),
    (
        "disable_cooldowns",
        "cannot be turned off: `health: { failures: 100, failure_ratio: 1 }` comes near it",
    ),
    (
        "enable_pre_call_checks",
        "prompts are not counted before: a model that they do not fit says so, and the next is tried",
    ),
    ("max_retries", RETRY),
    ("num_retries", RETRY),
    ("redis_db", PROCESS),
    ("redis_host", PROCESS),
    ("redis_password", PROCESS),
    ("redis_port", PROCESS),
    ("redis_url", PROCESS),
    ("retry_after", RETRY),
    ("retry_policy", RETRY),
    (
        "set_verbose",
        "`log: { level: debug }` says more; prompts and answers at no level",
    ),
];

/// `router_settings` alone.
pub(super) static ROUTER: &Table = &[
    ("alerting_config", ALERT),
    ("cache_kwargs", CACHE),
    ("caching_groups", CACHE),
    ("client_ttl", ""),
    ("debug_level", "`log: { level: debug }` says more"),
    ("default_litellm_params", OVERRULE),
    (
        "default_max_parallel_requests",
        "requests in flight to a target are not bounded",
    ),
    ("default_priority", "there is no queue"),
    (
        "deployment_affinity_ttl_seconds",
        "clients are not bound to a target",
    ),
    (
        "enable_pre_call_check",
        "prompts are not counted before: a model that they do not fit says so, and the next is tried",
    ),
    ("enable_tag_filtering", TAGS),
    ("guardrail_list", GUARD),
    ("ignore_invalid_deployments", ""),
    ("model_group_retry_policy", RETRY),
    (
        "optional_pre_call_checks",
        "clients are not bound to a target, and targets have no budgets and limits",
    ),
    ("polling_interval", "there is no queue"),
    ("provider_budget_config", BUDGET),
    ("router_general_settings", ""),
    (
        "routing_groups",
        "targets are drawn by weight, or tried in order",
    ),
    (
        "routing_strategy_args",
        "targets are drawn by weight, or tried in order",
    ),
    ("search_tools", NO_ENDPOINT),
    ("tag_filtering_match_any", TAGS),
];

/// `litellm_settings` alone.
pub(super) static LITELLM: &Table = &[
    ("cache", CACHE),
    ("cache_params", CACHE),
    ("default_internal_user_params", ADMIN),
    ("default_team_params", ADMIN),
    ("default_team_settings", ADMIN),
    ("disable_end_user_cost_tracking", ""),
    ("disable_end_user_cost_tracking_prometheus_only", ""),
    ("drop_params", DROP),
    ("enable_json_schema_validation", "answers stay as they are"),
    ("force_ipv4", ""),
    ("guardrails", GUARD),
    ("json_logs", "`log: { format: json }` is the default"),
    ("key_generation_settings", ADMIN),
    ("langfuse_default_tags", "there are no callbacks"),
    ("max_budget", ADMIN),
    ("max_internal_user_budget", ADMIN),
    ("mcp_aliases", NO_ENDPOINT),
    ("model_alias_map", "name the alias under `models`"),
    ("modify_params", "messages stay as they are"),
    ("public_routes", LOGIN),
    (
        "redact_user_api_key_info",
        "the log has a key's name, never the key",
    ),
    (
        "ssl_verify",
        "providers' certificates are checked; `SSL_CERT_FILE` names other roots",
    ),
    ("store_audit_logs", ADMIN),
    ("suppress_debug_info", ""),
    ("telemetry", ""),
    (
        "turn_off_message_logging",
        "prompts and answers stand in no log",
    ),
    ("upperbound_key_generate_params", ADMIN),
    ("user_api_key_cache_ttl", ""),
];

/// `general_settings`.
pub(super) static GENERAL: &Table = &[
    ("admin_only_routes", PAGE),
    ("alert_to_webhook_url", ALERT),
    ("alert_types", ALERT),
    ("alerting", ALERT),
    ("alerting_args", ALERT),
    ("alerting_threshold", ALERT),
    (
        "allow_client_side_credentials",
        "clients' credentials never go to a provider",
    ),
    (
        "allow_requests_on_db_unavailable",
        "`ledger.on_error: serve` is the default",
    ),
    ("allow_user_auth", LOGIN),
    (
        "allowed_ips",
        "whoever reaches the port comes in with a key: bind `listen`, or filter before it",
    ),
    (
        "allowed_routes",
        "a key may use models (`keys[].models`), on every endpoint",
    ),
    ("background_health_checks", NO_CHECK),
    ("completion_model", "a request names its model"),
    ("custom_auth", LOGIN),
    ("custom_key_generate", ADMIN),
    ("custom_sso", LOGIN),
    ("database_connection_pool_limit", ADMIN),
    ("database_connection_timeout", ADMIN),
    ("database_type", ADMIN),
    ("database_url", ADMIN),
    ("default_team_disabled", ADMIN),
    ("disable_adding_master_key_hash_to_db", ""),
    ("disable_master_key_return", ""),
    ("disable_prisma_schema_update", ""),
    ("disable_reset_budget", ""),
    (
        "disable_responses_id_security",
        "ids of answers stay as the provider gave them",
    ),
    ("disable_retry_on_max_parallel_request_limit_error", ""),
    (
        "disable_spend_logs",
        "without a `ledger` nothing is written down",
    ),
    (
        "disable_spend_updates",
        "without a `ledger` nothing is written down",
    ),
    ("embedding_model", "a request names its model"),
    ("enable_jwt_auth", LOGIN),
    ("enable_oauth2_auth", LOGIN),
    ("enable_oauth2_proxy_auth", LOGIN),
    ("enforce_user_param", "requests are not asked for `user`"),
    ("enforced_params", "requests are not asked for parameters"),
    (
        "forward_client_headers_to_llm_api",
        "clients' headers go on, but for credentials, cookies and `x-forwarded-*`",
    ),
    (
        "forward_openai_org_id",
        "`OpenAI-Organization` of a client never goes on: set it under the provider's `headers`",
    ),
    (
        "global_max_parallel_requests",
        "requests in flight are not bounded by this",
    ),
    ("health_check_details", ""),
    ("health_check_interval", NO_CHECK),
    ("image_generation_model", NO_ENDPOINT),
    ("infer_model_from_keys", ""),
    ("key_management_settings", SECRETS),
    ("key_management_system", SECRETS),
    ("litellm_jwtauth", LOGIN),
    (
        "litellm_key_header_name",
        "a key comes as `Authorization: Bearer`, `x-api-key` or `api-key`",
    ),
    ("litellm_license", ""),
    (
        "max_parallel_requests",
        "requests in flight to a target are not bounded",
    ),
    ("max_response_size_mb", "answers have no bound"),
    ("maximum_spend_logs_retention_interval", ""),
    (
        "maximum_spend_logs_retention_period",
        "`ledger.retention`, which begins at 1h",
    ),
    ("moderation_model", NO_ENDPOINT),
    ("oauth2_config_mappings", LOGIN),
    ("pass_through_endpoints", "not carried over by this import"),
    ("proxy_batch_polling_interval", ""),
    ("proxy_batch_write_at", ""),
    ("proxy_budget_rescheduler_max_time", ""),
    ("proxy_budget_rescheduler_min_time", ""),
    ("public_routes", LOGIN),
    ("reject_clientside_metadata_tags", ""),
    ("service_account_settings", ADMIN),
    ("spend_report_frequency", LEDGER),
    (
        "store_model_in_db",
        "models of LiteLLM's database are not carried over: the file is all there is",
    ),
    (
        "store_prompts_in_spend_logs",
        "prompts and answers stand in no log and no ledger",
    ),
    ("supported_db_objects", ""),
    ("ui_access_mode", PAGE),
    ("ui_password", PAGE),
    ("ui_username", PAGE),
    ("use_azure_key_vault", SECRETS),
    ("use_client_credentials_pass_through_routes", NO_ENDPOINT),
    ("use_google_kms", SECRETS),
    ("use_x_forwarded_for", ""),
    ("user_api_key_cache_ttl", ""),
    ("user_mcp_management_mode", NO_ENDPOINT),
];
