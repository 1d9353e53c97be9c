// A button that changes something: asks first where that cannot be taken back, and says what went wrong.

import { useEffect, useRef, useState } from "preact/hooks";
import { linkState } from "../live";

interface ActionProps {
  label: string;
  /** Asked before it is done. */
  question?: string;
  onDo: () => Promise<void>;
  testid?: string;
  /** Told in full to those who do not see where the button is. */
  describedAs?: string;
}

type Step = { at: "idle" } | { at: "asking" } | { at: "doing" } | { at: "failed"; why: string };

export function Action({ label, question, onDo, testid, describedAs }: ActionProps) {
  const [step, setStep] = useState<Step>({ at: "idle" });
  const yes = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (step.at === "asking") yes.current?.focus();
  }, [step.at]);

  const act = async () => {
    setStep({ at: "doing" });
    try {
      await onDo();
      setStep({ at: "idle" });
    } catch (error) {
      setStep({ at: "failed", why: (error as Error).message });
    }
  };
  const isOff = step.at === "doing" || linkState.value.state !== "live";

  if (step.at === "asking") {
    return (
      <span class="action is-asking" role="group" aria-label={question}>
        <span>{question}</span>
        <button type="button" class="is-strong" ref={yes} onClick={act} data-testid={testid && `${testid}-confirm`}>
          Yes, {label.toLowerCase()}
        </button>
        <button type="button" onClick={() => setStep({ at: "idle" })}>No</button>
      </span>
    );
  }
  return (
    <span class="action">
      <button
        type="button"
        disabled={isOff}
        aria-label={describedAs}
        data-testid={testid}
        onClick={question === undefined ? act : () => setStep({ at: "asking" })}
      >
        {label}
      </button>
      {step.at === "failed" && <span class="bad" role="alert">{step.why}</span>}
    </span>
  );
}
